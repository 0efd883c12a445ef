package api

import (
	"context"

	"lifeboat/internal/outbox"
	"lifeboat/internal/role"
)

// Queue is what waits to go out, and what could not, oldest first.
type Queue struct {
	Messages []outbox.Message `json:"messages"`
}

type messageInput struct {
	ID string `path:"id" maxLength:"200" doc:"the message's id"`
}

func (a *api) queueRoutes() {
	route(a, get("/queue", "queue", "Messages that wait to go out, and those that were given up"), func(ctx context.Context, _ *struct{}) (*body[Queue], error) {
		messages, err := a.o.Engine.Queue(ctx)
		if messages == nil {
			messages = []outbox.Message{}
		}
		return &body[Queue]{Queue{messages}}, err
	})
	route(a, post("/queue/{id}/retry", "queue-retry", "Try a message again now", role.Operator), func(ctx context.Context, in *messageInput) (*struct{}, error) {
		return nil, a.o.Engine.RetryMessage(ctx, in.ID)
	})
	route(a, post("/queue/{id}/drop", "queue-drop", "Give a message up", role.Operator), func(ctx context.Context, in *messageInput) (*struct{}, error) {
		a.o.Logger.Info("a waiting message was dropped", "message", in.ID, "by", actorOf(ctx).Name)
		return nil, a.o.Engine.DropMessage(ctx, in.ID)
	})
}
