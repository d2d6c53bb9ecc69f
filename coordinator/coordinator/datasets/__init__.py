"""Dataset folders: made, imported and checked."""
