-- Shared: whether one more mail to a recipient leaves at once or is gathered. Looks at nothing but its arguments.
--   now        ms
--   window     for how long mails are gathered (ms)
--   first      how many leave at once before that
--   until_ms   when the recipient's latest window ends (ms); nil if there was none
--   singles    how many left at once in it
--   gathered   whether something was gathered in it
--   returns    "send" or "gather", and whether a window begins with this mail
local function judge_storm(now, window, first, until_ms, singles, gathered)
  if until_ms and now < until_ms then
    return singles < first and 'send' or 'gather', false
  end
  if until_ms and gathered and now < until_ms + window then
    -- The storm goes on: a single mail now and a digest after it would be two mails a window.
    return 'gather', true
  end
  return 'send', true
end
