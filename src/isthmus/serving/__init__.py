"""Pages in the browser, over the estimators."""
