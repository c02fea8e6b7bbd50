;; Wants something from outside: IMPORT.
(component
  (import "IMPORT" (instance (export "get" (func (result string))))))
