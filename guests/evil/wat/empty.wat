;; A component that exports nothing => loading: config, "is no transform: it exports nothing".
(component)
