clear()
return 1
