--- What the library that daemons of release 0.190 use in place of the git program says
-- when something is refused: the status and words for what the program printed.

local git_library = {}

-- { pattern in the program's words, status, the library's words with what it captured }
local WORDS = {
  { "%[remote rejected%]", 500, "pre-receive hook declined" },
  { "hook declined", 500, "pre-receive hook declined" },
  { "%[rejected%]%s+%S+ %-> (%S+)", 500, "non-fast-forward update: refs/heads/%s" },
  { "Remote branch (%S+) not found", 500, 'couldn\'t find remote ref "refs/heads/%s"' },
  { "couldn't find remote ref (%S+)", 500, 'couldn\'t find remote ref "%s"' },
  { "branch named '([^']*)' already exists", 500, 'a branch named "refs/heads/%s" already exists' },
  { "not a valid branch name", 500, "invalid reference name" },
  { "Authentication failed", 401, "authentication required: " },
  { "could not read Username", 401, "authentication required: " },
  { "returned error: 401", 401, "authentication required: " },
  { "returned error: 403", 403, "authorization failed: " },
  { "Repository not found", 404, "repository not found: " },
  { "repository '.-' not found", 404, "repository not found: " },
  { "repository '.-' does not exist", 404, "repository not found: " },
  { "returned error: 404", 404, "repository not found: " },
  { "'[^']*' does not appear to be a git repository", 404, "remote not found" },
  { "src refspec (%S+) does not match any", 404, "reference not found" },
  { "pathspec '.-' did not match", 404, "reference not found" },
  { "invalid reference", 404, "reference not found" },
}

--- The library's words for the program's.
---@param message string  what the program complained about
---@return integer status
---@return string words  those of the program where the library's are not known
function git_library.translate(message)
  for _, row in ipairs(WORDS) do
    local captured = message:match(row[1])
    if captured then return row[2], (row[3]:gsub("%%s", (captured:gsub("%%", "%%%%")))) end
  end
  return 500, message
end

return git_library
