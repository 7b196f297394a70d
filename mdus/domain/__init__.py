"""The nouns of metering (IEC 61968-9) as frozen values and pure rules: no database, no clock, no network."""
