-- What an error of the service means, beyond its status.

-- The service's word that there is no such call, made plain: nil where it says something
-- else. It says so, too, when a body is too large for it.
local function unknown_call(err, row)
  local method, path = err.message:match("^Cannot (%u+) (/%S*)")
  if err.status ~= 404 or not method then return nil end
  local why = "the service knows no such call"
  if row and row.since then why = why .. ", which came with version " .. row.since end
  if not path:find("/api", 1, true) then
    why = why .. " (does api_url end in /api?)"
  elseif method == "POST" then
    why = why .. ", or what was sent is too large for it"
  end
  return why .. ": " .. err.message:gsub(": does api_url end in /api%?$", "")
end

---What an error of the service means. An older service answers to a newer call that it
---"cannot"; and 422 when it could never do that with what it was asked of: both are of
---kind "unsupported". A sandbox that did not come up is no bad request but kind "state".
---@param err daytona.Error
---@param row? daytona.Call
---@return daytona.Error
return function(err, row)
  local unknown = unknown_call(err, row)
  if unknown then
    err.kind, err.message = "unsupported", unknown
  elseif err.status == 422 and err.kind == "invalid" then
    err.kind = "unsupported"
  elseif err.status == 400 and err.message:find("^Sandbox failed to start") then
    err.kind = "state"
  end
  return err
end
