"""Pure functions over series: what tags mean, smoothing and thinning, progress, comparison. `now` is an argument."""
