"""The methods of estimation, one file each; a file exposes METHOD."""
