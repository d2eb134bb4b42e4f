"""An MCP server with one tool, over standard input and output."""

from mcp.server.fastmcp import FastMCP

server = FastMCP("tides", log_level="WARNING")

HIGH_WATER = {"Brest": "05:42", "Saint-Malo": "07:55"}


@server.tool()
def high_water(port: str) -> str:
    """When the next high water is at a port."""
    return HIGH_WATER.get(port, "unknown")


if __name__ == "__main__":
    server.run()
