-- Takes secrets out of text that a person may see.
--
-- Everything that ends in an error message passes through here: known secrets
-- (keys, passwords, env values) are replaced literally, and what looks like a
-- credential is replaced by its shape. It must not know where text comes from.

local MARK = "[redacted]"

-- Shorter values ("1", "on") are no secrets, and replacing them would shred
-- the text around them.
local SHORTEST = 4

local function replace_literal(text, secret)
  local at = text:find(secret, 1, true)
  if not at then return text end
  local out, from = {}, 1
  while at do
    out[#out + 1] = text:sub(from, at - 1)
    out[#out + 1] = MARK
    from = at + #secret
    at = text:find(secret, from, true)
  end
  out[#out + 1] = text:sub(from)
  return table.concat(out)
end

-- Query parameters and JSON fields whose value is a credential.
local SECRET_NAMES = {
  signature = true, token = true, password = true, secret = true,
  api_key = true, apikey = true, access_token = true, authorization = true,
  jwt = true, daytona_sandbox_auth_key = true, ["x-amz-signature"] = true,
  ["x-amz-security-token"] = true, ["x-amz-credential"] = true,
}

local function hide_parameter(name, separator, value)
  if SECRET_NAMES[name:lower()] and value ~= "" then return name .. separator .. MARK end
end

local function hide_field(name, middle)
  if SECRET_NAMES[name:lower()] then return '"' .. name .. '"' .. middle .. '"' .. MARK .. '"' end
end

---Returns `text` without the secrets in it. Never fails.
---@param text string
---@param secrets? string[]  exact texts to hide; those under 4 bytes are ignored
---@return string
local function redact(text, secrets)
  if secrets then
    for i = 1, #secrets do
      local secret = secrets[i]
      if #secret >= SHORTEST then text = replace_literal(text, secret) end
    end
  end
  text = text:gsub("([Bb][Ee][Aa][Rr][Ee][Rr]%s+)[^%s\"',;]+", "%1" .. MARK)
  -- The frontiers keep a long word from being tried at each of its letters.
  text = text:gsub("(%f[%w+.-][%w+.-]+://)[^/%s@\"'<>]*@", "%1" .. MARK .. "@")
  text = text:gsub("%f[%w_-]([%w_-]+)(=)([^&%s\"'<>]*)", hide_parameter)
  text = text:gsub('"([%w_-]+)"(%s*:%s*)"[^"]*"', hide_field)
  text = text:gsub("dtn_[%w_-]+", function(word)
    if #word >= 20 then return MARK end
  end)
  return text
end

return redact
