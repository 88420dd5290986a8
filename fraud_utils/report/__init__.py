"""The notebooks executed headless into one folder a run, its pages, and all runs compared."""
