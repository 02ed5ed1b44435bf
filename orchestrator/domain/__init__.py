"""The site, its market, its work and its promises, as frozen values. Standard library only; time is an argument."""
