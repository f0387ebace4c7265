-- The accessibility tree of a desktop.

local calls = require "daytona.toolbox.calls"
local errors = require "daytona.base.errors"
local group = require "daytona.toolbox.computer.group"
local options = require "daytona.base.options"

local tree = {}

---@class daytona.AccessibilityNode
---@field id string
---@field role string
---@field name string
---@field description? string
---@field bounds { x: integer, y: integer, width: integer, height: integer }
---@field states string[]
---@field actions? string[]
---@field children daytona.AccessibilityNode[]

-- Lists that are null or missing become empty ones, all the way down.
local function tidy(node)
  node.states, node.children = node.states or {}, node.children or {}
  for i = 1, #node.children do tidy(node.children[i]) end
  return node
end

local function tree_of(answer)
  return { root = type(answer.root) == "table" and tidy(answer.root) or nil, truncated = answer.truncated == true }
end

local function matches_of(answer)
  local matches = answer.matches or {}
  for i = 1, #matches do tidy(matches[i]) end
  return { matches = matches, truncated = answer.truncated == true }
end

local SCOPES = { "focused", "pid", "all" }

local function check_scope(operation)
  return function(values)
    if values.scope == "pid" and not values.pid then errors.misuse(1, "%s: scope \"pid\" needs a pid", operation) end
    if values.states and values.states[1] == nil then values.states = nil end
  end
end

local function id_in(operation)
  return function(values) values.id = group.id_of(operation, values.id, "node") end
end

local NODE = { "id", "any" }

local api = calls.of_daemon {
  tree = { "GET", "/computeruse/a11y/tree", "object", prepare = check_scope "tree", refine = tree_of,
           options = { scope = SCOPES, pid = "positive", max_depth = options.range(-1, 2 ^ 31 - 1),
                       timeout = "seconds" } },
  find = { "POST", "/computeruse/a11y/find", "object", safe = true, body = true, prepare = check_scope "find",
           refine = matches_of,
           options = { scope = SCOPES, pid = "positive", role = "text", name = "text",
                       name_match = { "exact", "substring", "regex" }, states = "list",
                       limit = options.range(1, 5000), timeout = "seconds" } },
  focus = { "POST", "/computeruse/a11y/node/focus", what = "id", safe = true, args = { NODE },
            prepare = id_in "focus" },
  invoke = { "POST", "/computeruse/a11y/node/invoke", what = "id", args = { NODE }, options = { action = "text" },
             prepare = id_in "invoke" },
  set_value = { "POST", "/computeruse/a11y/node/value", what = "id", safe = true, secret = { "value" },
                args = { NODE, { "value", "string" } }, prepare = id_in "set_value" },
}

---@class daytona.ComputerAccessibility
---@field sandbox daytona.Sandbox
local Accessibility = {}
tree.accessibility = group.class(Accessibility, "Accessibility")

---The tree of what is on the screen: of the focused window, of a process, or
---everything, down to a depth (0 the root only, -1 or none: all). Fails with kind
---"unavailable", code "A11Y_UNAVAILABLE", where the sandbox has no accessibility bus.
---@type fun(self: daytona.ComputerAccessibility, opts?: { scope?: "focused"|"pid"|"all", pid?: integer, max_depth?: integer, timeout?: number }): { root: daytona.AccessibilityNode, truncated: boolean }?, daytona.Error?
Accessibility.tree = calls.method(api.tree)

---The nodes that match all that is given, at most `limit` (500).
---@type fun(self: daytona.ComputerAccessibility, opts?: { scope?: "focused"|"pid"|"all", pid?: integer, role?: string, name?: string, name_match?: "exact"|"substring"|"regex", states?: string[], limit?: integer, timeout?: number }): { matches: daytona.AccessibilityNode[], truncated: boolean }?, daytona.Error?
Accessibility.find = calls.method(api.find)

---Gives a node, or the node of an id, the focus.
---@type fun(self: daytona.ComputerAccessibility, node: daytona.AccessibilityNode|string): true?, daytona.Error?
Accessibility.focus = calls.method(api.focus)

---Does what a node offers: its first action, or the one named.
---@type fun(self: daytona.ComputerAccessibility, node: daytona.AccessibilityNode|string, opts?: { action?: string }): true?, daytona.Error?
Accessibility.invoke = calls.method(api.invoke)

---Sets the value of a node: the text of a field, the place of a slider. It is
---kept out of errors.
---@type fun(self: daytona.ComputerAccessibility, node: daytona.AccessibilityNode|string, value: string): true?, daytona.Error?
Accessibility.set_value = calls.method(api.set_value)

group.guard(Accessibility, "accessibility")

return tree
