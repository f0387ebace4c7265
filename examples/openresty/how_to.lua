-- What a request is told that is not what an endpoint takes.

local _M = {}

---Answers 405, or 400 to a POST of nothing, with the command that would be right.
---@param command string
function _M.tell(command)
  local is_empty = ngx.req.get_method() == "POST"
  ngx.status = is_empty and 400 or 405
  ngx.header["Allow"] = "POST"
  ngx.header["Content-Type"] = "text/plain; charset=utf-8"
  ngx.say(is_empty and "There is nothing in this request. Try" or "This wants a POST. Try", "\n\n  ", command)
end

return _M
