"""Several workers, clients and one store in one thread, under a virtual clock, a seed and faults."""
