"""From weights to conductances, under the paths that scripts import it from."""
