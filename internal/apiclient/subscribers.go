package apiclient

import (
	"context"

	"lifeboat/internal/api"
)

// Subscribers is who is told what the status page tells.
func (c *Client) Subscribers(ctx context.Context) (api.SubscriberList, error) {
	return get[api.SubscriberList](ctx, c, "/board/subscribers")
}

// AddSubscriber has somebody told.
func (c *Client) AddSubscriber(ctx context.Context, b api.SubscriberBody) (api.Subscriber, error) {
	return post[api.Subscriber](ctx, c, "/board/subscribers", b)
}

// RemoveSubscriber tells somebody nothing any more.
func (c *Client) RemoveSubscriber(ctx context.Context, id string) (api.Subscriber, error) {
	return post[api.Subscriber](ctx, c, boardItem("subscribers", id, "remove"), nil)
}

// Deliveries are what subscribers are being told.
func (c *Client) Deliveries(ctx context.Context) (api.Deliveries, error) {
	return get[api.Deliveries](ctx, c, "/board/deliveries")
}

// DeliverAgain tells those once more to whom some news could not be brought.
func (c *Client) DeliverAgain(ctx context.Context, news string) (api.DeliveryAgain, error) {
	return post[api.DeliveryAgain](ctx, c, boardItem("deliveries", news, "again"), nil)
}
