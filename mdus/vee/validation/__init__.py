"""The validation rules, one file each; a file exposes RULE."""
