-- Keys as models name them (X keysyms, names of browsers), in the names of the daemon.

local keys = {}

local NAMES = {
  ["return"] = "enter", kp_enter = "enter", esc = "escape", prior = "page_up", next = "page_down", pageup = "page_up",
  pagedown = "page_down", control = "ctrl", control_l = "ctrl", control_r = "ctrl", alt_l = "alt", alt_r = "alt",
  option = "alt", shift_l = "shift", shift_r = "shift", super = "cmd", super_l = "cmd", super_r = "cmd", meta = "cmd",
  win = "cmd", command = "cmd", arrowup = "up", arrowdown = "down", arrowleft = "left", arrowright = "right",
  back_space = "backspace", del = "delete", plus = "num_plus", minus = "-", equal = "=", comma = ",", period = ".",
  slash = "/", backslash = "\\", semicolon = ";", apostrophe = "'", grave = "`", bracketleft = "[", bracketright = "]",
}

local MODIFIERS = { ctrl = true, alt = true, shift = true, cmd = true }

local function name_of(text)
  local plain = text:match "^%s*(.-)%s*$"
  return NAMES[plain:lower()] or (#plain == 1 and plain or plain:lower())
end

local function split(text)
  local parts = {}
  for part in (text .. "+"):gmatch "([^+]*)%+" do parts[#parts + 1] = name_of(part) end
  return parts
end

---A key or a combination, as "ctrl+shift+t"; nil and why it is none.
---@param text string
---@return string?
---@return string? why
function keys.chord(text)
  local parts = split(text)
  for _, part in ipairs(parts) do
    if part == "" then return nil, "these are no keys: " .. text:sub(1, 40) end
  end
  return table.concat(parts, "+")
end

---The modifiers in a text, as "ctrl+shift"; nil and why it holds others.
---@param text string
---@return string[]?
---@return string? why
function keys.modifiers(text)
  local parts = split(text)
  for _, part in ipairs(parts) do
    if not MODIFIERS[part] then return nil, "these are no keys to hold: " .. text:sub(1, 40) end
  end
  return parts
end

return keys
