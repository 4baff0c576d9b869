# How many groups does mclust say there are? Lowest (here: highest) BIC over its fourteen models.
#
#   Rscript _answer.R rows.csv K

suppressMessages(library(mclust))
arguments <- commandArgs(trailingOnly = TRUE)
fit <- Mclust(read.csv(arguments[1]), G = seq_len(as.integer(arguments[2])), verbose = FALSE)
cat(sprintf('{"groups": %d, "model": "%s"}\n', fit$G, fit$modelName))
