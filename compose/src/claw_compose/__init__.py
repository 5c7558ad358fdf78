"""Day-to-day commands of the stack that Docker Compose runs: `make up`, `status`, `backup`, `restore`, ..."""
