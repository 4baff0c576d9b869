# bayesm's rnmixGibbs: mixtures with the conjugate prior, on numbers in a binary file.
#
#   Rscript _bayesm.R problem draws sweeps output      all draws of the weights, means and roots
#   Rscript _bayesm.R problem seconds short long       seconds of a short and of a long run
#
# The problem holds n, D, K, the prior's mean_precision and dof, its mean (D), its scale (D x D), the
# concentrations (K) and the rows, column by column. Labels start as 1, ..., K, 1, ..., K, and so on.

suppressMessages(library(bayesm))
arguments <- commandArgs(trailingOnly = TRUE)

file <- file(arguments[1], "rb")
numbers <- function(count) readBin(file, "double", count)
sizes <- numbers(3)
n <- sizes[1]; d <- sizes[2]; k <- sizes[3]
mean_precision <- numbers(1)
dof <- numbers(1)
center <- numbers(d)
scale <- matrix(numbers(d * d), d, d)
concentration <- numbers(k)
x <- matrix(numbers(n * d), n, d)
close(file)

prior <- list(ncomp = k, Mubar = matrix(center, 1), A = matrix(mean_precision), nu = dof, V = scale,
              a = concentration)

sample <- function(sweeps, keep) {
  sink(nullfile())
  on.exit(sink())
  rnmixGibbs(list(y = x), prior, list(R = sweeps, keep = keep, nprint = 0))$nmix
}

set.seed(1)
if (arguments[2] == "draws") {
  found <- sample(as.integer(arguments[3]), 1)
  output <- file(arguments[4], "wb")
  writeBin(as.vector(t(found$probdraw)), output)
  for (draw in found$compdraw) for (component in draw) {
    writeBin(c(component$mu, t(component$rooti)), output)
  }
  close(output)
} else {
  for (sweeps in as.integer(arguments[3:4])) {
    cat(system.time(sample(sweeps, sweeps))[["elapsed"]], "\n")
  }
}
