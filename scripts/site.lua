-- The links of the site's pages, and what its search looks through.
--
--   site.lua PATH.md SOURCE PAGES...   HTML through: links to documents become links to pages,
--                                      links to other files lead to SOURCE
--   site.lua --index FOLDER            index.js, of the pages there
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

-- The pages of a folder, in an order that stays.
local function pages_in(folder)
  return io.popen(("cd '%s' && find * -name '*.html' | LC_ALL=C sort"):format(folder)):lines()
end

--- The index -------------------------------------------------------------------------

local ENTITIES = { amp = "&", lt = "<", gt = ">", quot = '"', ldquo = '"', rdquo = '"', lsquo = "'", rsquo = "'" }

local function plain(html)
  local text = html:gsub("<[^>]*>", " "):gsub("&(%a+);", ENTITIES):gsub("&#(%d+);", function(code)
    return utf8.char(tonumber(code))
  end)
  text = text:gsub("\u{201C}", '"'):gsub("\u{201D}", '"'):gsub("\u{2018}", "'"):gsub("\u{2019}", "'")
  return (text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
end

-- A text within a script; no "<", which might end that.
local function quoted(text)
  return '"' .. text:gsub('[%c"\\<]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
end

-- The beginning of a text, whole words of it.
local SHOWN = 110

local function beginning(text)
  if #text <= SHOWN then return text end
  return text:sub(1, SHOWN):gsub("%S*$", "") .. "..."
end

-- The words of a text, each once, in their order, without those that stand in `shown`.
local function other_words(text, shown)
  local list, seen = {}, {}
  for word in shown:lower():gmatch "[%w_\128-\255]+" do seen[word] = true end
  for word in text:lower():gmatch "[%w_\128-\255]+" do
    if not seen[word] and #word > 2 then
      seen[word] = true
      list[#list + 1] = word
    end
  end
  return table.concat(list, " ")
end

-- What stands under each heading of a page.
local function each_section(html)
  local sections = {}
  for at, id, heading, after in html:gmatch '()<h%d id="([^"]*)">(.-)</h%d>()' do
    if sections[1] then sections[#sections].last = at - 1 end
    sections[#sections + 1] = { id = id, heading = plain(heading), first = after, last = #html }
  end
  return ipairs(sections)
end

local function entry_of(page, i, section, html)
  local text = plain(html:sub(section.first, section.last))
  local shown = beginning(text)
  return ("[%d,%s,%s,%s,%s]"):format(page, quoted(i == 1 and "" or section.id), quoted(section.heading), quoted(shown),
    quoted(other_words(text, section.heading .. " " .. shown)))
end

local function index(folder)
  local pages, entries = {}, {}
  for file in pages_in(folder) do
    local html = read(folder .. "/" .. file)
    pages[#pages + 1] = ("[%s,%s]"):format(quoted(file), quoted(plain(html:match "<title>(.-)</title>")))
    for i, section in each_section(html) do entries[#entries + 1] = entry_of(#pages - 1, i, section, html) end
  end
  local list = '"%s":[\n%s]'
  io.write("self.INDEX={", list:format("pages", table.concat(pages, ",\n")), ",",
    list:format("entries", table.concat(entries, ",\n")), "};\n")
end

local function check(folder)
  local dead = 0
  for file in pages_in(folder) do
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

local COMMANDS = { ["--check"] = check, ["--index"] = index }
local command = COMMANDS[arg[1]]
if command then command(arg[2]) else pass(table.unpack(arg)) end
