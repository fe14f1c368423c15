"""The eflomal model: Bayesian word alignment by Gibbs sampling, in numba kernels."""
