-- What was triggered meanwhile runs once.

obj.spec.suspend = false
return obj
