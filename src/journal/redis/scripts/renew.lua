-- ARGV: 3 flush, 4 token, 5 lease. 1 when it is the present claim, or else 0.
local flush, kind, token = open_batch()
if flush ~= ARGV[3] or token ~= ARGV[4] then
    return 0
end
ready_at(kind, exact(now() + tonumber(ARGV[5])))
return 1
