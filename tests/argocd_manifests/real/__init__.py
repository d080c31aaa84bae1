"""A package, so that what is shared by it ends with it: an operator that stays would answer other tests' hooks."""
