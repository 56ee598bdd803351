-- The available actions: none during a deletion, no run while the resource is suspended, and no cancellation without a run that can be
-- cancelled. A sync can be cancelled until it has started.

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
