-- Take one token of a rate limit (with token_bucket.lua in front).
--   KEYS[1]  the bucket
--   ARGV     now (ms), interval (ms), burst
--   returns  {"0"} if it was taken, else {how long to wait (ms)}
return { string.format('%.0f', take_token(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]))) }
