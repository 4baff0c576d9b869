# mclust's EM by its defaults, on rows in a binary file.
#
#   Rscript _mclust.R rows grid K seed output name ...   log-likelihoods of 1, ..., K components
#   Rscript _mclust.R rows fit K seed output name        log-likelihood and parameters of one model
#
# The file holds n, D and the rows, column by column. `grid` prints the seconds that mclustBIC takes
# and writes K numbers per model name, NaN where it gives none; `fit` writes the log-likelihood, the
# weights (K), the means (K x D) and the covariances (K x D x D). What mclust reports belongs to the
# parameters before its last M-step; what is written here is asked for at those that it returns.

suppressMessages(library(mclust))
arguments <- commandArgs(trailingOnly = TRUE)

file <- file(arguments[1], "rb")
sizes <- readBin(file, "double", 2)
n <- sizes[1]; d <- sizes[2]
x <- matrix(readBin(file, "double", n * d), n, d)
close(file)

k <- as.integer(arguments[3])
seed <- as.integer(arguments[4])
names <- arguments[-(1:5)]

log_likelihood <- function(name, parameters) {
  estep(x, modelName = name, parameters = parameters)$loglik
}

set.seed(seed)  # of the subset that the hierarchical start looks at
if (arguments[2] == "grid") {
  taken <- system.time(bic <- mclustBIC(x, G = 1:k, modelNames = names, verbose = FALSE))
  cat(taken[["elapsed"]], "\n")
  one <- function(g, name) {
    value <- bic[as.character(g), name]
    if (is.na(value)) return(NaN)
    if (g == 1) return((value + nMclustParams(name, d, 1) * log(n)) / 2)  # no iterations
    log_likelihood(name, summary(bic, x, G = g, modelNames = name)$parameters)
  }
  result <- outer(1:k, names, Vectorize(one))
} else {
  found <- Mclust(x, G = k, modelNames = names, verbose = FALSE)$parameters
  result <- c(log_likelihood(names, found), found$pro, found$mean, found$variance$sigma)
}
output <- file(arguments[5], "wb")
writeBin(as.double(result), output)
close(output)
