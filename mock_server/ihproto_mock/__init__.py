"""The mock server of the Interhuman streaming protocol."""
