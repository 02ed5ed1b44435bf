"""The mock site: simulated ASIC racks, GPU nodes and jobs, as real processes or as one site on a virtual clock."""
