-- Remove finished jobs that are past their retention from every index.
--   ARGV     domain, now (ms), retention (ms), at most how many
--   returns  {how many were removed}
--   refuses  error KEYTAKEN: the set of finished jobs is none
local fault = taken('zset', { jobs_key(ARGV[1], 'finished') })
if fault then
  return fault
end
return { tostring(purge_finished(ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]))) }
