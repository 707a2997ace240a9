value = "not the library" 
