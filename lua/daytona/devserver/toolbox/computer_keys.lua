--- The names of keys that the keyboard calls accept, as X keysyms. Pure.

local keys = {}

local NAMED = {
  backspace = "BackSpace", capslock = "Caps_Lock", delete = "Delete", down = "Down", ["end"] = "End",
  enter = "Return", escape = "Escape", home = "Home", insert = "Insert", left = "Left", menu = "Menu",
  pagedown = "Next", pageup = "Prior", right = "Right", space = "space", tab = "Tab", up = "Up",
  alt = "Alt_L", ctrl = "Control_L", shift = "Shift_L", cmd = "Super_L",
  lalt = "Alt_L", ralt = "Alt_R", lctrl = "Control_L", rctrl = "Control_R",
  lshift = "Shift_L", rshift = "Shift_R", lcmd = "Super_L", rcmd = "Super_R",
  num_asterisk = "KP_Multiply", num_decimal = "KP_Decimal", num_enter = "KP_Enter",
  num_equal = "KP_Equal", num_lock = "Num_Lock", num_minus = "KP_Subtract", num_plus = "KP_Add",
  num_slash = "KP_Divide",
}
for i = 1, 24 do NAMED["f" .. i] = "F" .. i end
for i = 0, 9 do NAMED["num" .. i] = "KP_" .. i end

local ALIAS = {
  esc = "escape", del = "delete", ["return"] = "enter", spacebar = "space", page_up = "pageup",
  page_down = "pagedown", control = "ctrl", command = "cmd", meta = "cmd", super = "cmd",
  win = "cmd", windows = "cmd", option = "alt", left_ctrl = "lctrl", left_control = "lctrl",
  right_ctrl = "rctrl", right_control = "rctrl", left_cmd = "lcmd", left_command = "lcmd",
  right_cmd = "rcmd", right_command = "rcmd", left_alt = "lalt", right_alt = "ralt",
  left_shift = "lshift", right_shift = "rshift",
}

local SIGN = {
  ["'"] = "apostrophe", [","] = "comma", ["-"] = "minus", ["."] = "period", ["/"] = "slash",
  [";"] = "semicolon", ["="] = "equal", ["["] = "bracketleft", ["\\"] = "backslash",
  ["]"] = "bracketright", ["`"] = "grave",
}

local SHIFTED = {
  ["!"] = "1", ['"'] = "'", ["#"] = "3", ["$"] = "4", ["%"] = "5", ["&"] = "7", ["("] = "9",
  [")"] = "0", ["*"] = "8", ["+"] = "=", [":"] = ";", ["<"] = ",", [">"] = ".", ["?"] = "/",
  ["@"] = "2", ["^"] = "6", ["_"] = "-", ["{"] = "[", ["}"] = "]", ["~"] = "`", ["|"] = "\\",
}

local NUMPAD = { ["num*"] = "num_asterisk", ["num+"] = "num_plus", ["num-"] = "num_minus",
                 ["num/"] = "num_slash", ["num."] = "num_decimal", ["num="] = "num_equal" }

-- The one name of a key among its spellings.
local function canonical(name)
  name = name:lower()
  return ALIAS[name] or name
end

--- The keysym of a key.
---@param name string
---@return string? keysym
---@return string? err
function keys.keysym(name)
  if SIGN[name] then return SIGN[name] end
  if name:match "^%w$" then return name:lower() end
  if SHIFTED[name] then
    return nil, ("key '%s' needs shift: use key '%s' with modifier 'shift'"):format(name, SHIFTED[name])
  end
  local plain = canonical(name)
  if NAMED[plain] then return NAMED[plain] end
  if NUMPAD[plain] then
    return nil, ("unknown key '%s': use '%s'"):format(name, NUMPAD[plain])
  end
  return nil, ("unknown key '%s'"):format(name)
end

local MODIFIER = { ctrl = "ctrl", alt = "alt", shift = "shift", cmd = "super" }

--- What holds a key, a modifier perhaps.
---@param name string
---@return string? keysym
---@return string? err
function keys.holdable(name)
  local modifier = MODIFIER[canonical(name)]
  if modifier then return modifier end
  return keys.keysym(name)
end

--- The modifiers of a list, as xdotool calls them.
---@param names string[]
---@return string[]?
---@return string? err
function keys.modifiers(names)
  local parts = {}
  for i, name in ipairs(names) do
    parts[i] = MODIFIER[canonical(name)]
    if not parts[i] then return nil, ("unknown modifier '%s'"):format(name) end
  end
  return parts
end

--- A chord for xdotool, such as "ctrl+shift+t".
---@param key string
---@param modifiers string[]
---@return string? chord
---@return string? err
function keys.chord(key, modifiers)
  local keysym, err = keys.keysym(key)
  if not keysym then return nil, err end
  local parts, seen = {}, { [canonical(key)] = true }
  for _, name in ipairs(modifiers) do
    local modifier = canonical(name)
    if not MODIFIER[modifier] then return nil, ("unknown modifier '%s'"):format(name) end
    if seen[modifier] then return nil, ("duplicate modifier '%s'"):format(name) end
    seen[modifier] = true
    parts[#parts + 1] = MODIFIER[modifier]
  end
  parts[#parts + 1] = keysym
  return table.concat(parts, "+")
end

--- A chord from its text, such as "ctrl + shift + t".
---@param text string
---@return string? chord
---@return string? err
function keys.parse_chord(text)
  local parts = {}
  for part in (text .. "+"):gmatch "([^+]*)%+" do
    part = part:match "^%s*(.-)%s*$"
    if part == "" then return nil, ("empty key in '%s'"):format(text) end
    parts[#parts + 1] = part
  end
  local key = table.remove(parts)
  return keys.chord(key, parts)
end

return keys
