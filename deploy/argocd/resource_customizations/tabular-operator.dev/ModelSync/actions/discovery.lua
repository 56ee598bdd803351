-- What can be done: nothing to what is being deleted, no run while it is suspended, and no cancellation without a run that can be
-- cancelled. A synchronisation can be as long as nothing has begun.

local deleted = obj.metadata.deletionTimestamp ~= nil
local suspended = obj.spec.suspend == true

local state = ""
if obj.status ~= nil and obj.status.run ~= nil then
  state = obj.status.run.state
end
local cancellable = state == "Waiting" or state == "Submitting" or (state == "Running" and obj.kind ~= "ModelSync")

return {
  ["run-now"] = {["disabled"] = deleted or suspended},
  ["suspend"] = {["disabled"] = deleted or suspended},
  ["resume"] = {["disabled"] = deleted or not suspended},
  ["cancel"] = {["disabled"] = deleted or not cancellable},
}
