;; Wants HTTP, which nobody granted => loading: config, "imports `wasi:http/outgoing-handler@0.2.0`, which is not granted".
(component
  (import "wasi:http/outgoing-handler@0.2.0" (instance
    (export "handle" (func (param "request" u32)))))
  (component $empty)
  (instance $stage (instantiate $empty))
  (export "etl:transform/stage@1.0.0" (instance $stage)))
