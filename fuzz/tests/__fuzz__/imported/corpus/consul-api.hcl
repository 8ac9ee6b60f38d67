# import: consul trust-domain=11111111-2222-3333-4444-555555555555.consul datacenter=dc1 datacenter=dc2
Kind = "service-intentions"
Name = "api"
Sources = [
  {
    Name   = "web"
    Action = "allow"
  },
  {
    Name = "mobile"
    Permissions = [
      {
        Action = "deny"
        HTTP {
          PathPrefix = "/v1/admin"
        }
      },
      {
        Action = "allow"
        HTTP {
          PathPrefix = "/v1"
          Methods    = ["GET", "POST"]
        }
      },
      {
        Action = "allow"
        HTTP {
          PathExact = "/health"
        }
      },
      # What nothing before this lets in is refused anyway.
      {
        Action = "deny"
        HTTP {
          PathPrefix = "/"
        }
      },
    ]
  },
  {
    # Everybody else.
    Name   = "*"
    Action = "deny"
  },
]
