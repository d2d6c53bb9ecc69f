"""The trainer of the label quality study: one DynUNet a label version, the same bytes for the same run."""
