"""Labels, walk-forward training, stored models, model health."""
