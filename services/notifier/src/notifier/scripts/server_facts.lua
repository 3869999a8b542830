-- Tell what the server says about itself (INFO: server, memory, persistence).
--   returns  {a text of lines for each section}; nothing where the server's host does not allow to ask
local reply = {}
for _, section in ipairs({ 'server', 'memory', 'persistence' }) do
  local text = redis.pcall('INFO', section)
  if type(text) == 'table' then
    return {}
  end
  reply[#reply + 1] = text
end
return reply
