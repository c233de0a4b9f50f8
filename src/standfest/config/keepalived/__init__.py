"""The language of keepalived.conf: text -> lines -> tree -> checked entries -> settings."""
