"""The compiled half of the ensemble: from decisions to orders, by the rules of docs/ensemble.md in their order."""
