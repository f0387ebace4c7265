-- Reads the project's documents: their blocks of code, links and headings.
--
-- What a block is stands behind its language, where Markdown lets one say more:
--
--   ```lua            a program: runs as it stands, beside a local server
--   ```lua sandbox    a part of one: `daytona`, `client`, `sb` and `check` are there
--   ```lua fragment   is not run, but compiles
--   ```sh             commands that are not run, but what they name is there
--   ```sh run         run in the checkout
--   ```text           right behind a program: what it prints, "..." for what varies

local documents = {}

---The documents, but for those of what is installed beside them.
---@return string[]
function documents.all()
  local list = {}
  local find = "git ls-files -co --exclude-standard '*.md'"
  for path in io.popen(find):lines() do list[#list + 1] = path end
  assert(list[1], "no documents")
  return list
end

---@param path string
---@return string
function documents.read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

---All of the client's Lua code, as one text.
---@return string
function documents.sources()
  local list = {}
  for path in io.popen("find lua/daytona -name '*.lua' ! -path '*/devserver/*'"):lines() do
    list[#list + 1] = documents.read(path)
  end
  return table.concat(list)
end

-- The blocks of a text whose lines are given one by one.
local function collect(path, lines)
  local list, block, number = {}, nil, 0
  for line in lines do
    number = number + 1
    local indent, rest = line:match "^( *)```(.*)$"
    if not indent then
      if block then block.lines[#block.lines + 1] = line end
      if list[1] and not block and line:find "%S" then list[#list].left = true end
    elseif block then
      block.text = table.concat(block.lines, "\n") .. "\n"
      list[#list + 1], block = block, nil
    else
      local language, kind = rest:match "^(%S*)%s*(.-)%s*$"
      block = { path = path, line = number, language = language, kind = kind, lines = {} }
    end
  end
  return list
end

---The blocks of a document: where, `language`, `kind`, `text`, and `prints`, the text
---block that follows with nothing in between.
---@param path string
---@return table[]
function documents.blocks(path)
  local list = collect(path, (documents.read(path) .. "\n"):gmatch "([^\n]*)\n")
  for i = 1, #list - 1 do
    if list[i + 1].language == "text" and not list[i].left then list[i].prints = list[i + 1].text end
  end
  return list
end

-- A document without its code.
local function prose(path)
  return (("\n" .. documents.read(path)):gsub("\n *```.-\n *```", "\n"):gsub("`[^`\n]*`", ""))
end

---The relative links of a document: file (as seen from the checkout) and anchor.
---@param path string
---@return fun(): string?, string?, string?
function documents.links(path)
  local folder = path:match "^.*/" or ""
  return coroutine.wrap(function()
    for target in prose(path):gmatch "%]%(([^%s)]+)%)" do
      if not target:find "^%a+:" then
        local file, anchor = target:match "^([^#]*)#?(.*)$"
        coroutine.yield(file == "" and path or folder .. file, anchor ~= "" and anchor or nil, target)
      end
    end
  end)
end

-- As GitHub makes an anchor of a heading.
local function slug(heading)
  return (heading:lower():gsub("[^%w _\128-\255-]", ""):gsub(" ", "-"))
end

---The anchors of a document.
---@param path string
---@return table<string, true>
function documents.anchors(path)
  local set, text = {}, ("\n" .. documents.read(path)):gsub("\n```.-\n```", "\n")
  for heading in text:gmatch "\n#+ ([^\n]+)" do set[slug(heading)] = true end
  return set
end

return documents
