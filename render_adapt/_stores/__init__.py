"""Object stores: where they are named, and the few things that are done with objects there."""
