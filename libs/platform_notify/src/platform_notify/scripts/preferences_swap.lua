-- Replace a user's stored preferences if they are still those that were read: two changes at once lose neither.
--   KEYS[1]  the preferences
--   ARGV     what was read ("" if there was nothing), what replaces it
--   returns  {"swapped"}
--   refuses  {"changed"}: something else is stored meanwhile; nothing is written
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return { 'changed' }
end
redis.call('SET', KEYS[1], ARGV[2])
return { 'swapped' }
