package webhook

// RetryAfter lets tests read the header's forms.
var RetryAfter = retryAfter
