-- Cancels the run in progress. Any new value of the annotation has this effect.

local os = require("os")

if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["tabular-operator.dev/cancel-requested-at"] = os.date("!%Y-%m-%dT%XZ")
return obj
