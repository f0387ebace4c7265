-- The links of the site's pages.
--
--   site.lua PATH.md SOURCE PAGES...   HTML through: links to documents become links to pages,
--                                      links to other files lead to SOURCE
--   site.lua --check FOLDER            every link and anchor of the pages there leads somewhere

local function read(path)
  local file = io.open(path)
  local text = file and file:read "a"
  if file then file:close() end
  return text
end

local function resolved(from, target)
  local path = (from:match "^(.*/)" or "") .. target
  path = path:gsub("/%./", "/"):gsub("^%./", "")
  local n
  repeat path, n = path:gsub("[^/.][^/]*/%.%./", "", 1) until n == 0
  return path
end

local function page_of(path) return (path:gsub("%.md$", ".html"):gsub("README%.html$", "index.html")) end

-- A folder stands for its README.
local function as_page(pages, path)
  local inside = path:gsub("/$", "") .. "/README.md"
  return pages[path] and path or pages[inside] and inside
end

local function relinked(from, source, pages, target)
  if target:find "^%a+:" or target:find "^#" then return target end
  local name, anchor = target:match "^([^#]*)(.*)$"
  local path = resolved(from, name)
  if path:find "%.png$" then return target end
  local page = as_page(pages, path)
  if not page then return source .. "/" .. path .. anchor end
  local _, depth = from:gsub("/", "")
  return ("../"):rep(depth) .. page_of(page) .. anchor
end

-- lowdown spells what is no letter in an id as it likes; GitHub's spelling is what we link to.
local function with_ids(html)
  local used = {}
  return (html:gsub("<h(%d)[^>]*>(.-)</h%d>", function(level, inside)
    local id = inside:gsub("<[^>]*>", ""):gsub("&#?%w+;", ""):lower():gsub("[^%w _\128-\255-]", ""):gsub(" ", "-")
    local n = used[id]
    used[id] = (n or 0) + 1
    return ('<h%s id="%s">%s</h%s>'):format(level, n and id .. "-" .. n or id, inside, level)
  end))
end

local function pass(from, source, ...)
  local pages = {}
  for _, path in ipairs { ... } do pages[path] = true end
  local html = with_ids(io.read "a"):gsub('(href=")([^"]*)"', function(before, target)
    return before .. relinked(from, source, pages, target) .. '"'
  end)
  io.write(html)
end

local function check(folder)
  local dead = 0
  for file in io.popen(("cd '%s' && find * -name '*.html'"):format(folder)):lines() do
    for target in read(folder .. "/" .. file):gmatch '[hs][rer][ec]f?="([^"]*)"' do
      if not target:find "^%a+:" then
        local name, anchor = target:match "^([^#]*)#?(.*)$"
        local text = read(folder .. "/" .. (name == "" and file or resolved(file, name)))
        if not text or (anchor ~= "" and not text:find('id="' .. anchor .. '"', 1, true)) then
          io.stderr:write(file, ": ", target, " leads nowhere\n")
          dead = dead + 1
        end
      end
    end
  end
  os.exit(dead == 0)
end

if arg[1] == "--check" then check(arg[2]) else pass(table.unpack(arg)) end
