-- Takes secrets out of text that a person may see.
--
-- Everything that ends in an error message passes through here: known secrets
-- (keys, passwords, env values) are replaced literally, and what looks like a
-- credential is replaced by its shape. It must not know where text comes from, and
-- leaves sentences alone: "Bearer token is invalid" holds no token.

local known = require "daytona.base.known_secrets"
local quoted = require "daytona.base.quoted"

local MARK = known.MARK

--- By name --------------------------------------------------------------------------

-- How the names of what holds a credential end, in lower case and without "-" and "_".
local ENDINGS = {
  "token", "password", "passwd", "passphrase", "secret", "signature", "credential", "credentials",
  "authorization", "jwt", "apikey", "authkey", "accesskey", "secretkey", "privatekey", "signingkey",
}

local function names_secret(name)
  local plain = name:lower():gsub("[_-]", "")
  for i = 1, #ENDINGS do
    if plain:sub(-#ENDINGS[i]) == ENDINGS[i] then return true end
  end
  return false
end

local function hide_parameter(name, separator, value)
  if value ~= "" and names_secret(name) then return name .. separator .. MARK end
end

-- "name": "value", as JSON and others write it; quotes in the value are escaped. One
-- that was cut is hidden to its end.
local function hide_fields(text)
  local out, from = {}, 1
  while true do
    local _, opened, quote, name, open = text:find("([\"'])([%w_-]+)%1%s*:%s*([\"'])", from)
    if not opened then break end
    local stop = quote and names_secret(name) and (quoted.stop(text, opened + 1, open) or #text + 1)
    out[#out + 1] = text:sub(from, opened) .. (stop and MARK or "")
    from = stop or opened + 1
  end
  return from == 1 and text or table.concat(out) .. text:sub(from)
end

--- By looks ---------------------------------------------------------------------------

-- Whether a word is rather a credential than a word: it has digits or signs, letters of
-- both cases, or is very long.
local function looks_secret(word)
  return #word >= 24 or word:find "%d" or word:find "[._=+/].*%w" or word:find "%l%u" or word:find "=$"
end

local function hide_word(before, word)
  if looks_secret(word) then return before .. MARK end
end

-- How much of the value of a header, which begins the text, is to be hidden: from
-- where to where, or nil. A header of a credential alone keeps its scheme; in a word's
-- place ("password: too short") only what looks like one goes.
local function hidden_part(name, value)
  local line = #value:match "^[^\r\n\"'<>]*"
  if line == 0 then return nil end
  local plain = name:lower()
  if plain:find "authorization$" then
    local scheme = value:match "^%a+[ \t]+()"
    return scheme and scheme <= line and scheme or 1, line
  elseif plain:find "cookie$" or name:find "-" and names_secret(name) then
    return 1, line
  end
  local word = names_secret(name) and value:match "^[^%s,;\"'<>]+"
  if word and looks_secret(word) then return 1, #word end
end

-- Name: value, as headers are written.
local function hide_headers(text)
  local out, from = {}, 1
  while true do
    local _, stop, name = text:find("%f[%w_-]([%w_-]+):[ \t]+", from)
    if not stop then break end
    local first, last = hidden_part(name, text:sub(stop + 1, stop + 4096))
    out[#out + 1] = text:sub(from, stop + (first or 1) - 1)
    if first then out[#out + 1] = MARK end
    from = stop + 1 + (last or 0)
  end
  return from == 1 and text or table.concat(out) .. text:sub(from)
end

---Returns `text` without the secrets in it. Never fails.
---@param text string
---@param secrets? string[]  exact texts to hide; those under 4 bytes are ignored
---@return string
local function redact(text, secrets)
  if secrets then text = known.hide(text, secrets) end
  text = hide_fields(text)
  -- The frontiers keep a long word from being tried at each of its letters.
  text = text:gsub("(%f[%w+.-][%w+.-]+://)[^/%s\"'<>]*@", "%1" .. MARK .. "@")
  text = text:gsub("%f[%w_-]([%w_-]+)(=)([^&%s\"'<>]*)", hide_parameter)
  text = hide_headers(text)
  text = text:gsub("(%f[%w][Bb][Ee][Aa][Rr][Ee][Rr]%s+)([^%s\"',;]+)", hide_word)
  text = text:gsub("(%f[%w][Bb][Aa][Ss][Ii][Cc]%s+)([%w+/=]+)", hide_word)
  text = text:gsub("dtn_[%w_-]+", function(word)
    if #word >= 20 then return MARK end
  end)
  return text
end

return redact
