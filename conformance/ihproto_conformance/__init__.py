"""The conformance suite of the Interhuman streaming protocol: scenarios, runner and reports."""
